"""What swarmkit's Watch API says, in terms of snapshots.

watch_pb2.py and watch_pb2.pyi are made from watch.proto, which says how; `objects` reads their messages.
"""
