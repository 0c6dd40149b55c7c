"""An S3 server that checks signatures, moto's, and a proxy that stops in the middle of an upload."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")

ROOT = Path(__file__).parents[2]
TINY = ROOT / "examples" / "esm2_tiny"
SCRIPT = os.environ.get("VIRPACK") or shutil.which("virpack", path=sysconfig.get_path("scripts")) or "virpack"
KEYS = ["aws_access_key_id", "aws_secret_access_key"]

# The actions of each user. Moto calls the beginning of an upload by the name of its request.
ALLOWED = {"writer": ["s3:*"], "reader": ["s3:Get*", "s3:List*", "s3:Head*"]}


class Store:
    """A server with a bucket `genomes`. ``writer`` and ``reader`` are the environments of two users."""

    def __init__(self, url: str) -> None:
        self.url = url
        root = {**dict.fromkeys(KEYS, "root"), "endpoint_url": url, "region_name": "us-east-1"}
        s3, iam = boto3.client("s3", **root), boto3.client("iam", **root)
        s3.create_bucket(Bucket="genomes")
        s3.put_object(Bucket="genomes", Key="dir/p.fa", Body=(ROOT / "examples" / "proteins.fasta").read_bytes())
        users = [self._user(iam, name, actions) for name, actions in ALLOWED.items()]
        self.writer, self.reader = users

    def _user(self, iam: Any, name: str, actions: list[str]) -> dict[str, str]:
        iam.create_user(UserName=name)
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName="s3", PolicyDocument=json.dumps(allowed))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        return environment | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        }

    def client(self) -> Any:
        """Boto's client, as the writer."""
        key = {name: self.writer[name.upper()] for name in KEYS}
        return boto3.client("s3", **key, endpoint_url=self.url, region_name="us-east-1")

    def objects(self, prefix: str) -> dict[str, bytes]:
        """The objects below a prefix, by the rest of their keys."""
        s3 = self.client()
        listed = s3.list_objects_v2(Bucket="genomes", Prefix=prefix).get("Contents", [])
        read = {each["Key"]: s3.get_object(Bucket="genomes", Key=each["Key"])["Body"].read() for each in listed}
        return {key.removeprefix(prefix): body for key, body in read.items()}


@contextlib.contextmanager
def store(checked: bool) -> Iterator[Store]:
    """Starts a server. If it is `checked`, users may only do what they are allowed to."""
    # Signatures are compared from that request on; the earlier requests create the users.
    auth = {"INITIAL_NO_AUTH_ACTION_COUNT": str(2 + 3 * len(ALLOWED))} if checked else {}
    line = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(line, env=os.environ | auth, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            lines: list[str] = []
            while not (lines and "Running on http" in lines[-1]):
                lines.append(server.stderr.readline())
                assert lines[-1], f"the server ended: {''.join(lines)}"
            said = lines[-1]
            # A full pipe would stop the server.
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield Store(said.split("Running on ")[1].split()[0])
        finally:
            server.kill()


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    line = [SCRIPT, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


class Stopping:
    """A proxy in front of a server. A request whose first line has `mark` goes through by half, and then nothing does."""

    def __init__(self, url: str, mark: bytes) -> None:
        host, port = url.removeprefix("http://").rsplit(":", 1)
        self._server, self._mark, self.stopped = (host, int(port)), mark, threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._server)
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, to: socket.socket, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                if self.stopped.is_set():
                    return
                if asks and self._mark in piece:
                    to.sendall(piece[: len(piece) // 2])
                    self.stopped.set()
                    return
                to.sendall(piece)
            to.shutdown(socket.SHUT_WR)
