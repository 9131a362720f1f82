"""The API server as anybody sees it: HTTPS with a token, nothing of vmlet's own client."""

import http.client
import json
import ssl
import threading
import time
import urllib.parse

GROUP = "/apis/vmlet.dev/v1alpha1"
NAMESPACE = "chaos"


def vms(name=""):
    return f"{GROUP}/namespaces/{NAMESPACE}/virtualmachines" + (f"/{name}" if name else "")


def networks(name=""):
    return f"{GROUP}/namespaces/{NAMESPACE}/networks" + (f"/{name}" if name else "")


class Refused(Exception):
    def __init__(self, code, method, path, body):
        super().__init__(f"{method} {path}: {code} {str(body)[:300]}")
        self.code = code


class Kube:
    """Safe for threads: each has a connection of its own."""

    def __init__(self, port, ca_file, token_file):
        self.port = port
        self.context = ssl.create_default_context(cafile=ca_file)
        self.context.check_hostname = False
        with open(token_file) as f:
            self.token = f.read().strip()
        self.own = threading.local()

    def _connect(self, timeout):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=timeout)

    def call(self, method, path, body=None, patch="merge"):
        """Answers the object. Raises Refused for what the server says, OSError when it is not there."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body)
            headers["Content-Type"] = f"application/{patch}-patch+json" if method == "PATCH" else "application/json"
        for attempt in (1, 2):
            connection = getattr(self.own, "connection", None)
            if connection is None:
                connection = self.own.connection = self._connect(20)
            try:
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException) as e:
                connection.close()
                self.own.connection = None
                if attempt == 2:
                    raise OSError(f"{method} {path}: {e}") from e
        if answer.status >= 300:
            raise Refused(answer.status, method, path, text)
        return json.loads(text) if text else None

    def get(self, path):
        return self.call("GET", path)

    def items(self, path):
        return self.get(path)["items"]

    def find(self, path):
        """The object, or None when the server says that there is none."""
        try:
            return self.get(path)
        except Refused as e:
            if e.code == 404:
                return None
            raise

    def patch(self, path, body):
        return self.call("PATCH", path, body)

    def create(self, path, body):
        return self.call("POST", path, body)

    def delete(self, path):
        return self.call("DELETE", path)

    def watch(self, path, seen, ended):
        """Calls seen(event, time.monotonic()) for each event of a list and what follows, until ended() says so."""
        while not ended():
            try:
                listed = self.get(path)
                for item in listed["items"]:
                    seen({"type": "LISTED", "object": item}, time.monotonic())
                query = urllib.parse.urlencode({"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]})
                connection = self._connect(300)
                connection.request("GET", f"{path}?{query}", headers={"Authorization": f"Bearer {self.token}"})
                answer = connection.getresponse()
                while not ended():
                    line = answer.readline()
                    now = time.monotonic()
                    if not line:
                        break
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        break
                    seen(event, now)
                connection.close()
            except (OSError, http.client.HTTPException, Refused, ValueError, KeyError):
                time.sleep(0.2)
