"""A loopback stand-in for the Hugging Face hub and its CDN, for fetch.bats.

    hub_server.py ROOT LOG MODE

serves ROOT/MODEL/FILE as the hub serves openai-community/MODEL, prints its port on stdout, appends a line
"METHOD PATH RANGE" ("-" without a Range header) to LOG for every request, and ends at the end of its stdin.
As on the hub, *.safetensors is a redirect to a CDN (another port) that declares SHA-256 and size, and any other
file a redirect on the same host to an answer whose ETag is the git blob id. MODE is what goes wrong:

    none         nothing
    cut          the first download of weights ends half-way
    stall        the first download of weights sends half, then nothing more
    stuck        no download of weights gets past its half
    no-range     Range is ignored
    no-checksum  only the CDN sends an ETag, 64 hexadecimal digits that are no SHA-256 of the file
    wrong        the declared SHA-256 is of something else
    wrong-blob   the declared git blob id is of something else
    short        the CDN lacks the last byte of what was declared
    huge         the declared size is 10^15 bytes
    error        every answer is HTTP 500
"""

import hashlib
import http.server
import os
import pathlib
import re
import sys
import threading
import time

ROOT, LOG, MODE = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
HUB_PATH = re.compile(r"^/openai-community/([\w-]+)/resolve/main/([\w.]+)$")
CACHE_PATH = re.compile(r"^/api/resolve-cache/models/([\w-]+)/([\w.]+)$")
CDN_PATH = re.compile(r"^/blob/([\w-]+)/([\w.]+)$")
lock = threading.Lock()
downloads = 0


def git_blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that goes away is what the tests are about, not an error of the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def file_of(self, match):
        file = ROOT / match.group(1) / match.group(2)
        return file.read_bytes() if file.is_file() else None

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self):
        with lock, open(LOG, "a", encoding="ascii") as log:
            log.write(f"{self.command} {self.path} {self.headers.get('Range', '-')}\n")
        self.route()

    do_GET = do_HEAD


class Hub(Handler):
    def route(self):
        match = HUB_PATH.match(self.path) or CACHE_PATH.match(self.path)
        content = self.file_of(match) if match else None
        if MODE == "error":
            self.answer(500, {}, b"broken")
        elif content is None:
            self.answer(404, {"X-Error-Code": "EntryNotFound"}, b"Entry not found")
        elif CACHE_PATH.match(self.path):
            blob_id = git_blob_id(b"other" if MODE == "wrong-blob" else content)
            self.answer(200, {"ETag": f'"{blob_id}"'}, content)
        elif match.group(2).endswith(".safetensors"):
            self.redirect_to_cdn(match, content)
        else:
            location = f"/api/resolve-cache/models/{match.group(1)}/{match.group(2)}"
            self.answer(307, {"Location": location}, b"Temporary Redirect")

    def redirect_to_cdn(self, match, content):
        headers = {"Location": f"http://127.0.0.1:{cdn.server_port}/blob/{match.group(1)}/{match.group(2)}"}
        if MODE != "no-checksum":
            size = 10**15 if MODE == "huge" else len(content)
            digest = hashlib.sha256(b"other" if MODE == "wrong" else content).hexdigest()
            headers.update({"X-Linked-Size": str(size), "X-Linked-ETag": f'"{digest}"'})
        self.answer(302, headers, b"Found. Redirecting")


class Cdn(Handler):
    def route(self):
        content = self.file_of(CDN_PATH.match(self.path))
        if MODE == "short":
            content = content[:-1]
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        first = int(asked.group(1)) if asked and MODE != "no-range" else 0
        if first >= len(content):
            self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("ETag", '"' + hashlib.sha256(b"storage" + content).hexdigest() + '"')
        self.end_headers()
        if self.command == "GET":
            self.send(content, first)

    def send(self, content, first):
        global downloads
        with lock:
            downloads += 1
            breaks = MODE == "stuck" or (MODE in ("cut", "stall") and downloads == 1)
        self.wfile.write(content[first : len(content) // 2 if breaks else len(content)])
        self.wfile.flush()
        if breaks and MODE == "stall":
            time.sleep(600)
        self.close_connection = breaks


def end_with_stdin():
    sys.stdin.read()
    os._exit(0)


hub = Server(("127.0.0.1", 0), Hub)
cdn = Server(("127.0.0.1", 0), Cdn)
threading.Thread(target=cdn.serve_forever, daemon=True).start()
threading.Thread(target=end_with_stdin, daemon=True).start()
print(hub.server_port, flush=True)
hub.serve_forever()
