"""The parent's half of the worker processes.

The *pool* hands tasks to *slots*; a slot keeps one worker process alive and restarts it with
back-off.  A fetch whose worker dies ends as WORKER_LOST, at the last byte that was reported, and
the download plans anew; a hash task is asked of another worker.
"""
