# Gives a restic repository a key of the same password that costs next to nothing to derive: tests start
# restic thousands of times, and half a second of a processor each is most of what they take.
# `cheap_key.py FOLDER PASSWORD_FILE`; the format is that of restic's doc/design.rst, "Keys, Encryption and MAC".
import base64, hashlib, json, os, subprocess, sys

folder = sys.argv[1] + "/keys"
with open(sys.argv[2], "rb") as file:
    password = file.read().strip()


def aes(mode, key, data, iv=None):
    line = ["openssl", "enc", mode, "-K", key.hex(), "-nopad"] + (["-iv", iv.hex()] if iv else [])
    return subprocess.run(line, input=data, stdout=subprocess.PIPE, check=True).stdout


def mac(key, nonce, data):
    k, r = key[:16], key[16:]
    r = int.from_bytes(r, "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(data), 16):
        total = (total + int.from_bytes(data[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    s = int.from_bytes(aes("-aes-128-ecb", k, nonce), "little")
    return ((total + s) % 2**128).to_bytes(16, "little")


def derived(key):
    salt = base64.b64decode(key["salt"])
    return hashlib.scrypt(password, salt=salt, n=key["N"], r=key["r"], p=key["p"], maxmem=2**30, dklen=64)


for name in os.listdir(folder):
    with open(f"{folder}/{name}") as file:
        key = json.load(file)
    data = base64.b64decode(key["data"])
    nonce, sealed, tag = data[:16], data[16:-16], data[-16:]
    dear = derived(key)
    assert mac(dear[32:], nonce, sealed) == tag, "the password is another one"
    master = aes("-aes-256-ctr", dear[:32], sealed, nonce)
    key.update(N=2, r=1, p=1, salt=base64.b64encode(os.urandom(64)).decode())
    cheap, nonce = derived(key), os.urandom(16)
    sealed = aes("-aes-256-ctr", cheap[:32], master, nonce)
    key["data"] = base64.b64encode(nonce + sealed + mac(cheap[32:], nonce, sealed)).decode()
    text = json.dumps(key).encode()
    with open(f"{folder}/{hashlib.sha256(text).hexdigest()}", "wb") as file:
        file.write(text)
    os.chmod(file.name, 0o600)
    os.remove(f"{folder}/{name}")
