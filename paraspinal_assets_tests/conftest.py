import signal

from hypothesis import settings

# The same examples in every run, and no clock: a busy machine must not fail a test.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

# A shell starts commands in the background (`make test &`) with Ctrl-C ignored. Dagster gives SIGTERM the same
# meaning as Ctrl-C, and then servers that tests end by SIGTERM would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
