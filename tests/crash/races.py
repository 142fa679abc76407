"""Two processes that want the same run at the same moment."""

import json
import os
import signal
import threading
import time

import leftoff
import leftoff.journal.postgres  # else each fork would import these anew
import leftoff.journal.sqlite
from leftoff.testing.kills import Ledger, read_ledger
