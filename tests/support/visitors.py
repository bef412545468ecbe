"""Visitors of a site: so many requests a second, each judged, until the standard input ends.

Arguments: ADDRESS HOST CA_FILE RATE PATH... . Prints a JSON object: how many answers of each sort there
were, and the first of those that nobody may see, with the time. Sorts: "page" (ours, whole, with what it
must have), "path: body" of the application as it was answered, "BAD ...".
"""

import http.client
import json
import socket
import ssl
import sys
import threading
import time
from collections import Counter

address, host, ca_file, rate, *paths = sys.argv[1:]
WORKERS = 10
pause = WORKERS / float(rate)
context = ssl.create_default_context(cafile=ca_file)
ends = threading.Event()
lock = threading.Lock()
sorts: Counter = Counter()
bad: list = []
order: list = []
begun = time.time()


class Connection(http.client.HTTPSConnection):
    """To the edge at its address, under the site's name."""

    def connect(self):
        plain = socket.create_connection((address, 443), timeout=15)
        self.sock = context.wrap_socket(plain, server_hostname=host)


def judge(path, answer, body):
    page = answer.getheader("X-Matou-Page")
    if page is not None:
        whole = b"</html>" in body
        right = answer.status == 503 and answer.getheader("Retry-After") == "120"
        return "page" if whole and right else f"BAD page {answer.status} {len(body)}"
    if answer.status != 200:
        return f"BAD {path} {answer.status} {body[:60]!r}"
    return f"{path}: {body.decode(errors='replace').strip()[:80]}"


def visit(number):
    connection = None
    time.sleep(number * pause / WORKERS)
    asked = 0
    while not ends.is_set():
        next_one = time.time() + pause
        path = paths[(asked + number) % len(paths)]
        if connection is None or asked % 20 == 0:
            if connection:
                connection.close()
            connection = Connection(host, timeout=15)
        asked += 1
        try:
            connection.request("GET", path, headers={"Accept-Language": "fr", "User-Agent": "visitor"})
            answer = connection.getresponse()
            sort = judge(path, answer, answer.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            connection = None
            sort = f"BAD {path} no answer: {error!r}"
        with lock:
            sorts[sort] += 1
            at = round(time.time() - begun, 2)
            if sort.startswith("BAD") and len(bad) < 20:
                bad.append(f"{at} s: {sort}")
            if sort not in [known for _, known in order]:
                order.append((at, sort))
        time.sleep(max(0.0, next_one - time.time()))


threads = [threading.Thread(target=visit, args=(n,)) for n in range(WORKERS)]
for thread in threads:
    thread.start()
sys.stdin.read()
ends.set()
for thread in threads:
    thread.join()
json.dump({"sorts": sorts, "bad": bad, "order": order, "seconds": round(time.time() - begun, 1)}, sys.stdout)
