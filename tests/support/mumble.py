"""A client of Mumble's protocol, as far as a test needs one: mumble.py HOST PORT USER [CHANNEL], with the password on
standard input, empty for none. Makes the channel where one is named. Prints the certificate's SHA-256 and the channels,
or why it was turned away (exit code 3)."""
import hashlib
import socket
import ssl
import struct
import sys

VERSION, AUTHENTICATE, REJECT, SERVER_SYNC, CHANNEL_STATE, PERMISSION_DENIED = 0, 2, 4, 5, 7, 12


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, str):
        value = value.encode()
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def fields(data):
    found, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        elif key & 7 == 2:
            size = number()
            found[key >> 3] = data[at:at + size]
            at += size
        else:
            at += {1: 8, 5: 4}[key & 7]
    return found


host, port, user = sys.argv[1], int(sys.argv[2]), sys.argv[3]
channel = sys.argv[4] if len(sys.argv) > 4 else None
password = sys.stdin.read().strip()

# The certificate is the server's own; whether it stays the same is what is looked at.
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
connection = context.wrap_socket(socket.create_connection((host, port), 10))
connection.settimeout(15)
print("certificate", hashlib.sha256(connection.getpeercert(True)).hexdigest())


def send(kind, data):
    connection.sendall(struct.pack(">HI", kind, len(data)) + data)


def receive(size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            sys.exit("the server closed the connection")
        data += more
    return data


send(VERSION, field(1, 0x010500) + field(2, "matou's tests"))
send(AUTHENTICATE, field(1, user) + field(2, password) + field(5, 1))
while True:
    kind, size = struct.unpack(">HI", receive(6))
    found = fields(receive(size))
    if kind == REJECT:
        print("rejected", found.get(1, 0), found.get(2, b"").decode())
        sys.exit(3)
    if kind == PERMISSION_DENIED:
        sys.exit("denied: %r" % found)
    if kind == CHANNEL_STATE:
        name = found.get(3, b"").decode()
        print("channel", name)
        if name == channel:
            break
    if kind == SERVER_SYNC:
        if channel is None:
            break
        send(CHANNEL_STATE, field(2, 0) + field(3, channel))
