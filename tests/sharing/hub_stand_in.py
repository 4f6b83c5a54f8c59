"""A stand-in for the HTTP interface of the Hugging Face hub: repositories in memory, one commit."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

TOKEN = "hf_of_the_test"
COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """What was pushed, and what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, dict[str, bytes]] = {}
        self.stored: dict[str, bytes] = {}  # large files by their hash
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self._path()
        match path:
            case ["api", "models", user, name, *_]:
                repo = f"{user}/{name}"
                if repo not in self.server.files:
                    self._send(404, {"error": "Repository not found"}, error="RepoNotFound")
                elif "tree" in path:
                    self._send(200, [self._entry(*item) for item in self._files(repo).items()])
                else:
                    names = [{"rfilename": file} for file in self._files(repo)]
                    self._send(200, {"id": repo, "sha": COMMIT, "siblings": names})
            case [user, name, "resolve", _, *file]:
                data = self.server.files.get(f"{user}/{name}", {}).get("/".join(file))
                if data is None:
                    self._send(404, {"error": "Entry not found"}, error="EntryNotFound")
                else:
                    self._send_bytes(200, data, ETag=f'"{_blob(data)}"')
            case _:
                self._send(404, {"error": str(path)})

    def do_POST(self) -> None:
        path, body = self._path(), self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid credentials"})
            return
        match path:
            case ["api", "validate-yaml"]:
                self._send(200, {"errors": [], "warnings": []})
            case ["api", "repos", "create"]:
                told = json.loads(body)
                repo = f"{told['organization']}/{told['name']}"
                hidden = told.get("private") or told.get("visibility") == "private"
                self.server.private.setdefault(repo, bool(hidden))
                self.server.files.setdefault(repo, {})
                self._send(200, {"url": f"{self.server.address}/{repo}", "id": repo, "name": repo})
            case ["api", "models", _, _, "preupload", _]:
                files = json.loads(body)["files"]
                modes = [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                        "shouldIgnore": False,
                    }
                    for file in files
                ]
                self._send(200, {"files": modes})
            case [user, name, "info", "lfs", "objects", "batch"]:
                objects = [
                    {
                        "oid": each["oid"],
                        "size": each["size"],
                        "actions": {"upload": {"href": f"{self.server.address}/put/{each['oid']}"}},
                    }
                    for each in json.loads(body)["objects"]
                ]
                self._send(200, {"transfer": "basic", "objects": objects}, lfs=True)
            case ["api", "models", user, name, "commit", _]:
                self._commit(f"{user}/{name}", body)
            case _:
                self._send(404, {"error": str(path)})

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self._path()[-1]
        assert hashlib.sha256(data).hexdigest() == oid
        self.server.stored[oid] = data
        self._send(200, {})

    def _commit(self, repo: str, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            value: dict[str, Any] = line["value"]
            if line["key"] == "file":
                self.server.files[repo][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.files[repo][value["path"]] = self.server.stored[value["oid"]]
        address = f"{self.server.address}/{repo}/commit/{COMMIT}"
        self._send(
            200, {"success": True, "commitOid": COMMIT, "commitUrl": address, "hookOutput": ""}
        )

    def _path(self) -> list[str]:
        self.server.asked.append(f"{self.command} {self.path}")
        return unquote(self.path.partition("?")[0]).strip("/").replace(".git/", "/").split("/")

    def _files(self, repo: str) -> dict[str, bytes]:
        return self.server.files[repo]

    @staticmethod
    def _entry(path: str, data: bytes) -> dict[str, Any]:
        return {"type": "file", "path": path, "size": len(data), "oid": _blob(data)}

    def _send(self, code: int, told: Any, *, error: str = "", lfs: bool = False) -> None:
        kind = "application/vnd.git-lfs+json" if lfs else "application/json"
        headers = {"Content-Type": kind, **({"X-Error-Code": error} if error else {})}
        self._send_bytes(code, json.dumps(told).encode(), **headers)

    def _send_bytes(self, code: int, data: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _blob(data: bytes) -> str:
    """The name that git has for a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub that answers while the block lasts."""
    server = Hub()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
