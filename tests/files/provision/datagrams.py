# Sends datagrams of 1234 bytes to the swarm's ports: `datagrams.py TO [FROM]`; with FROM, that address is
# written on them, as a container with NET_RAW can.
import socket, struct, sys

to, PAYLOAD = sys.argv[1], b"x" * 1234


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


for port in (4789, 7946):
    if len(sys.argv) < 3:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(PAYLOAD, (to, port))
        continue
    udp = struct.pack("!HHHH", 40000, port, 8 + len(PAYLOAD), 0) + PAYLOAD
    source, target = socket.inet_aton(sys.argv[2]), socket.inet_aton(to)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0, source, target)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.sendto(head + udp, (to, 0))
