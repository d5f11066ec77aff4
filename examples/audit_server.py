#!/usr/bin/env python3
"""A server behind the gateway that knows its clients: it asks the gateway whose connection one is, for its audit log.

    GATEWAY_SOCKET=/run/gateway/gateway.sock audit_server.py PORT AUDIT_FILE

It echoes lines. For each connection the audit log gets a line of JSON with the client's real address, when it came, how long it
stayed and what it sent. Of a connection that the gateway knows nothing of, such as a health probe's, the peer's own address
is the client's.

Needs nothing but Python 3. docs/metrics.md#the-client-of-a-connection says who may use the socket.
"""

import http.client
import ipaddress
import json
import os
import socket
import socketserver
import sys
import threading
import time
from urllib.parse import urlencode


class Gateway(http.client.HTTPConnection):
    """The gateway's control API, which is HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("gateway", timeout=2)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def who(self, peer, own):
        """The flow behind the connection from `peer` to `own`; None if the gateway has none."""
        self.request("GET", "/v1/who?" + urlencode({"snat": peer, "backend": own}))
        response = self.getresponse()
        body = json.loads(response.read())
        if response.status == 404:
            return None
        if response.status != 200:
            raise OSError(body["error"])
        return body


def written(address):
    """ADDRESS:PORT, or [ADDRESS]:PORT, of a socket's name."""
    ip = ipaddress.ip_address(address[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return f"[{ip}]:{address[1]}" if ip.version == 6 else f"{ip}:{address[1]}"


class Session(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self):
        began = time.time()
        entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)), "lines": 0, "bytes": 0}
        entry.update(self.client())
        try:
            for line in self.rfile:
                entry["lines"] += 1
                entry["bytes"] += len(line)
                self.wfile.write(line)
        except OSError as error:
            entry["error"] = str(error)
        entry["seconds"] = round(time.time() - began, 3)
        self.server.audit(entry)

    def client(self):
        """Who is at the other end. Asked at the beginning, while the gateway surely knows."""
        peer, own = written(self.client_address), written(self.request.getsockname())
        gateway = Gateway(os.environ.get("GATEWAY_SOCKET", "/run/gateway/gateway.sock"))
        try:
            flow = gateway.who(peer, own)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # The service goes on without its gateway's control socket; the log says what it does not know.
            return {"client": None, "peer": peer, "unknown": str(error)}
        finally:
            gateway.close()
        if flow is None:
            return {"client": peer, "peer": peer}
        return {"client": flow["client"], "public": flow["public"], "service": flow["service"], "peer": peer}


class Server(socketserver.ThreadingTCPServer):
    """Listens on every address, for IPv4 and IPv6."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port, audit_file):
        super().__init__(("::", port), Session)
        self.log = open(audit_file, "a", buffering=1, encoding="utf-8")
        self.lock = threading.Lock()

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def audit(self, entry):
        with self.lock:
            self.log.write(json.dumps(entry) + "\n")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: audit_server.py PORT AUDIT_FILE")
    with Server(int(sys.argv[1]), sys.argv[2]) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
