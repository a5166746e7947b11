"""Prints the calls that a platform's log shows, one a line, each with the statuses of its answers and how many there were.

Names stand as NAME: those that dfwfd gives carry the run. Calls that the platform's own parts send are among them.
"""

import collections
import re
import sys

CALL = re.compile(r"Request completed.*\bmethod=(\S+).*\bpath=(\S+).*\bstatus_code=(\d+)")
NAMES = [(r"/workspaces/[^/]+", "/workspaces/{ws}"), (r"(job-fileset-)?dfwfd-[a-z2-7]{8}-[^/]+", "NAME"), (r"/-/.*", "/-/PATH"),
         (r"(job-fileset-)?models-system-[^/]+", "NAME"), (r"platform-job-[^/]+", "ID")]

calls = collections.defaultdict(collections.Counter)
with open(sys.argv[1], errors="replace") as log:
    for line in log:
        found = CALL.search(re.sub(r"\x1b\[[0-9;]*m", "", line))
        if found:
            method, path, status = found.groups()
            for pattern, name in NAMES:
                path = re.sub(pattern, name, path)
            calls[path, method][status] += 1
for (path, method), statuses in sorted(calls.items()):
    print(method, path, *(f"{status} ({count})" for status, count in sorted(statuses.items())))
