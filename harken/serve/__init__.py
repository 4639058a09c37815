"""The service: models answer over HTTP, for a page in the browser and for programs (``harken serve``).

::

    cli/serve.py   the command: options, and what they mean together
    settings.py    what a service is told once, at its start
    running.py     sockets, processes, signals
    app.py         the routes
    guard.py       who may ask: hosts, origins, token; headers of every answer
    uploads.py     a body becomes a file of its own, within bounds of size and time
    crew.py        places and threads
    work.py        what is done in a thread for one request
    sound.py       one decoding for all models, within bounds of duration
    remarks.py     warnings about an upload, for its answer
    answers.py     what models said, as JSON
    models.py      the models that are served
    problems.py    refusals, as RFC 9457 has them
    metrics.py     counts of all processes, as Prometheus reads them
    openapi.py     the description of it all

Starlette, uvicorn and python-multipart (the extra ``serve``) are imported by app, uploads and running alone, and these when a
service starts.
"""

from harken.serve.settings import Settings

__all__ = ["Settings"]
