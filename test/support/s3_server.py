# SPDX-License-Identifier: Apache-2.0
"""An S3 server for tests: moto's, with a server of our own before it that checks the key and fails when it is told to.

    with S3Server() as s3:
        connection.execute(s3.secret("name"))
        s3.mode = "busy"; ...; s3.mode = "pass"
"""

import collections
import http.client
import http.server
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import xml.etree.ElementTree

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Handler(http.server.BaseHTTPRequestHandler):
    """Forwards a request to moto, or fails as the S3Server's mode says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_one(self):
        s3 = self.server.s3
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else b""
        key = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        with s3.lock:
            s3.requests[self.command] += 1
            s3.paths.append((self.command, self.path))
            mode = s3.mode if not callable(s3.mode) else s3.mode(self.command, self.path)
        if mode == "hang":
            s3.released.wait(600)  # of the time when it came
            self.close_connection = True
            return
        if mode == "drop" or not s3.front:
            self.close_connection = True
            return
        if mode == "busy":
            return self.reply(503, {}, b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>")
        if not key or key.group(1) not in s3.keys:
            return self.reply(403, {}, b"<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist.</Message></Error>")
        upstream = http.client.HTTPConnection("127.0.0.1", s3.moto_port, timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in ("connection", "transfer-encoding", "date", "server")}
        self.reply(answer.status, headers, content)
        upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one

    def reply(self, status, headers, content):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD" or "Content-Length" not in headers and "content-length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Front(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # clients that are killed hang up


class S3Server:
    """With a bucket "bucket". Needs the Python package moto."""

    def __init__(self):
        self.mode = "pass"  # pass, busy (503), drop (hangs up), hang; or a function of method and path that says so
        self.keys = {"key"}
        self.requests = collections.Counter()  # by method
        self.paths = []
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.moto_port = free_port()
        self.errors = tempfile.TemporaryFile()

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.moto_port)],
                                        stdout=subprocess.DEVNULL, stderr=self.errors)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.request("PUT", "/bucket")
                break
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None, "moto's server did not start"
                time.sleep(0.2)
        self.port = free_port()
        self.listen()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.close()
        self.process.terminate()
        self.process.wait()

    def listen(self):
        self.front = Front(("127.0.0.1", self.port), Handler)
        self.front.s3 = self
        threading.Thread(target=self.front.serve_forever, daemon=True).start()

    def close(self):
        """From now on connections are refused, until listen()."""
        front, self.front = self.front, None
        if front:
            front.shutdown()
            front.server_close()

    def release(self):
        """Ends the requests that hang."""
        released, self.released = self.released, threading.Event()
        released.set()

    def request(self, method, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.moto_port, timeout=10)
        connection.request(method, path, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 300:
            raise OSError("%s %s: %d" % (method, path, answer.status))
        return content

    def objects(self, prefix=""):
        """The keys of all objects below a prefix."""
        keys, token = [], ""
        while True:
            query = {"list-type": "2", "prefix": prefix}
            if token:
                query["continuation-token"] = token
            tree = xml.etree.ElementTree.fromstring(self.request("GET", "/bucket?" + urllib.parse.urlencode(query)))
            keys += [node.text for node in tree.iter(NAMESPACE + "Key")]
            token = next((node.text for node in tree.iter(NAMESPACE + "NextContinuationToken")), "")
            if not token:
                return keys

    def secret(self, name, key="key", scope="s3://bucket"):
        """A statement that makes a secret for this server."""
        options = {"endpoint": "127.0.0.1:%d" % self.port, "url_style": "path", "use_ssl": False, "region": "us-east-1", "scope": scope}
        return "SELECT mooncake.create_secret('%s', 's3', '%s', 'secret-of-%s', '%s')" % (name, key, key, json.dumps(options))

    def iceberg_properties(self):
        """With which pyiceberg finds it."""
        return {"s3.endpoint": "http://127.0.0.1:%d" % self.port, "s3.access-key-id": "key", "s3.secret-access-key": "secret-of-key",
                "s3.region": "us-east-1"}
