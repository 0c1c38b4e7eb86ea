"""What a running lbgen tells about itself: a read-only view of the loop, over HTTP.

`view.py` makes the documents, `server.py` serves them (and the numbers of `metrics.py`), `client.py` is what the
commands ask with.
"""
