"""A model of everything around the processor that can fail: the stream, the mapping, the services, other processes.

The real handler and the real roll run in it. Emulators implement few of these failures and AWS none on demand; here
each is chosen, by an index or a seed, and can be repeated.
"""
