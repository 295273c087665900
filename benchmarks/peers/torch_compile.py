#!/usr/bin/env python3
"""The model of torch.py through torch.compile; what it compiles is not billed, but in start-up and the cold TTFT."""

import importlib.util
import os

place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch.py")
spec = importlib.util.spec_from_file_location("kvbench_torch", place)  # torch is the library's name
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.main(compiled=True)
