"""Settings of the kernels that run the examples."""

c = get_config()  # noqa: F821  IPython's own way
c.IPKernelApp.log_level = 40  # a kernel on this machine's own network needs no encryption
