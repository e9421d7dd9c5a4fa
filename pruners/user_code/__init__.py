"""Code in users' own files: run, so that folders do not meet, and known by all that it imports."""

from pruners.user_code.exits import (
    Grace,
    exit_text,
    exits_told,
    leave,
    no_exit,
    with_exits_told,
)
from pruners.user_code.folders import (
    OWN,
    PREFIX,
    UserFolder,
    folder_stamps,
    named_modules,
    user_folder,
)
from pruners.user_code.lending import lent
from pruners.user_code.one_at_a_time import OneAtATime
from pruners.user_code.opened_files import (
    MAX_FILES,
    FileStamp,
    file_stamp,
    is_library,
    opened_files,
)
from pruners.user_code.paths import resolved
from pruners.user_code.reading import code_digest, code_files, users_error

__all__ = [
    "FileStamp",
    "Grace",
    "MAX_FILES",
    "OWN",
    "OneAtATime",
    "PREFIX",
    "UserFolder",
    "code_digest",
    "code_files",
    "exit_text",
    "exits_told",
    "file_stamp",
    "folder_stamps",
    "is_library",
    "leave",
    "lent",
    "named_modules",
    "no_exit",
    "opened_files",
    "resolved",
    "user_folder",
    "users_error",
    "with_exits_told",
]
