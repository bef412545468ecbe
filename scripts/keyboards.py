#!/usr/bin/env python3
"""Writes what keyboards type, as libxkbcommon reads its own tables (xkb-data), for tests/ui_keys/keyboards.rs.

Usage: scripts/keyboards.py FOLDER. A file a layout; a line a key: its name, what it types alone, with Shift and
with AltGr, between tabs. A dead key types nothing.
"""

import ctypes
import pathlib
import sys

LAYOUTS = {
    "azerty": ("fr", ""),
    "azerty-latin9": ("fr", "latin9"),
    "bepo": ("fr", "bepo"),
    "bepo-afnor": ("fr", "bepo_afnor"),
}


class Names(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("rules", "model", "layout", "variant", "options")]


def typed(xkb, keymap, code, level):
    found = ctypes.POINTER(ctypes.c_uint32)()
    count = xkb.xkb_keymap_key_get_syms_by_level(keymap, code, 0, level, ctypes.byref(found))
    letters = [chr(xkb.xkb_keysym_to_utf32(found[i])) for i in range(count)]
    return "".join(letter for letter in letters if letter.isprintable())


def main():
    xkb = ctypes.CDLL("libxkbcommon.so.0")
    for name in ("xkb_context_new", "xkb_keymap_new_from_names"):
        getattr(xkb, name).restype = ctypes.c_void_p
    xkb.xkb_keymap_key_get_name.restype = ctypes.c_char_p
    context = ctypes.c_void_p(xkb.xkb_context_new(0))
    for file, (layout, variant) in LAYOUTS.items():
        names = Names(b"evdev", b"pc105", layout.encode(), variant.encode(), b"")
        keymap = ctypes.c_void_p(xkb.xkb_keymap_new_from_names(context, ctypes.byref(names), 0))
        lines = []
        for code in range(10, 95):
            key = (xkb.xkb_keymap_key_get_name(keymap, code) or b"").decode()
            levels = [typed(xkb, keymap, code, level) for level in range(3)]
            # The keypad has no level of AltGr, and not all keyboards have one.
            if any(levels) and not key.startswith("KP"):
                lines.append("\t".join([key, *levels]).rstrip("\t"))
        pathlib.Path(sys.argv[1], f"{file}.tsv").write_text("\n".join(lines) + "\n")


main()
