"""An RDAP server of tests: rdap.py PORT FILE DAYS. It knows one domain, that of the answer in FILE (the example of RFC
9083), whose registration ends in DAYS days; of all others it says that nobody registered them."""

import datetime
import http.server
import json
import pathlib
import sys

answer = json.loads(pathlib.Path(sys.argv[2]).read_text())
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=float(sys.argv[3]), hours=1)
for event in answer["events"]:
    if event["eventAction"] == "expiration":
        event["eventDate"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/rdap/domain/" + answer["ldhName"]
        body = json.dumps(answer if known else {"errorCode": 404, "title": "Not Found"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/rdap+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Registry).serve_forever()
