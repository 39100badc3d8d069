"""The calls of the Kubernetes API that launching and ending a run make, over HTTP on the loopback interface."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


class KubeApi:
    """Keeps what clients create, answers with it, and notes what they delete; there are no pods."""

    def __init__(self, folder: Path) -> None:
        self.created: list[tuple[str, dict[str, Any]]] = []
        self.deleted: list[str] = []
        self._folder = folder

    @contextmanager
    def serve(self) -> Iterator[Path]:
        """Serve until the end of the block; yields a kubeconfig that leads here."""
        created, deleted = self.created, self.deleted

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                created.append((self.path, json.loads(body)))
                self._answer(201, body)

            def do_GET(self) -> None:
                self._answer(200, b'{"kind": "PodList", "apiVersion": "v1", "items": []}')

            def do_DELETE(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                deleted.append(self.path)
                self._answer(200, b'{"kind": "Status", "apiVersion": "v1", "status": "Success"}')

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self._kubeconfig(server.server_port)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _kubeconfig(self, port: int) -> Path:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
            "current-context": "here",
        }
        path = self._folder / "kubeconfig"
        path.write_text(yaml.safe_dump(content))
        return path
