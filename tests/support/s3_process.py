"""moto's server with conditional writes one at a time, as S3 has them: moto looks first and writes later."""

import io
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto import server
from werkzeug import serving

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
CONDITIONS = {"HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"}
_ONE = threading.Lock()


def in_turn(app: Application) -> Application:
    """The same application; nobody waits for a body that is slow to come."""

    def respond(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "PUT" or not CONDITIONS & environ.keys() or not environ.get("CONTENT_LENGTH"):
            return app(environ, start_response)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        with _ONE:
            return app(environ, start_response)

    return respond


if __name__ == "__main__":
    run = serving.run_simple
    vars(server)["run_simple"] = lambda host, port, app, **options: run(host, port, in_turn(app), **options)
    server.main()
