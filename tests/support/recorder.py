"""A web server of tests that keeps what is posted to it. recorder.py PORT FOLDER [ADDRESS]: one JSON file a request,
numbered."""

import http.server
import json
import pathlib
import sys

taken = 0


class Recorder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global taken
        taken += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        seen = {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}
        part = pathlib.Path(sys.argv[2]) / f"{taken}.new"
        part.write_text(json.dumps(seen))
        part.rename(part.with_suffix(".json"))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


address = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
http.server.HTTPServer((address, int(sys.argv[1])), Recorder).serve_forever()
