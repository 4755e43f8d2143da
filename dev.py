"""The developer's command: `python dev.py up|setup|test|check|bench|doctor|ingest|backup|restore|model`.

Thin on purpose, and readable by any Python 3, so that an interpreter that is too old gets a sentence
instead of a SyntaxError. Everything else lies in devtools/.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - the message is for exactly those interpreters
    sys.stderr.write(
        "dev.py needs Python 3.10 or newer (this is %d.%d); the apps themselves need 3.11 to 3.14.\n"  # noqa: UP031
        "Install one from https://www.python.org/downloads/ and run it again with that interpreter.\n"
        % sys.version_info[:2]
    )
    sys.exit(2)

from devtools.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
