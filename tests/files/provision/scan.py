# Which ports of an address answer: `scan.py ADDRESS PORT...`, one a line.
import asyncio, sys


async def answers(address, port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 1.5)
        writer.close()
        return True
    except (OSError, asyncio.TimeoutError):
        return False


async def main(address, ports):
    for port, open in zip(ports, await asyncio.gather(*(answers(address, p) for p in ports))):
        if open:
            print(port)


asyncio.run(main(sys.argv[1], [int(p) for p in sys.argv[2:]]))
