"""Where the service is; ``MODEL`` is whichever it has loaded."""

import os

URL = os.environ["SERVICE_URL"]
MODEL = "default"
