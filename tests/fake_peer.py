"""A made-up peer, on the adapters' own protocol: it gives the ids that kvbench gives, after steps of 2 ms. What else its
`generate` does is Python in KV_FAKE_PEER, which sees ids, watch, batch, prompt and n."""
import os
import subprocess
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import adapter

o = adapter.options()


def right(prompt, n):
    out = subprocess.run([os.environ["KV_PROGRAM"], "generate", "--model", o.model, "--tokens", ",".join(map(str, prompt)),
                          "-n", str(n), "--threads", "1"], capture_output=True, text=True, check=True).stdout
    return [int(word) for word in out.replace(",", " ").split()][-n:]


def generate(batch, prompt, n, watch):
    ids = right(prompt, n)
    watch.__init__()
    for _ in range(n):
        time.sleep(0.002)
        watch.stamp()
    exec(os.environ.get("KV_FAKE_PEER", ""))
    return ids


adapter.serve("made up", "1.2.3", {"threads": o.threads}, generate)
