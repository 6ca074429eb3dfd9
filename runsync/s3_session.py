"""Sessions of boto3, which is slow to begin with."""

from functools import cache
from typing import Any


def session(profile: str) -> Any:
    """A session whose loader all others share: to read what botocore knows of S3 takes a tenth of a second."""
    import boto3.session
    import botocore.session

    core = botocore.session.get_session()
    loader = _loader(core.get_config_variable("data_path"))
    core.register_component("data_loader", loader)
    session = boto3.session.Session(botocore_session=core, profile_name=profile or None)
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # boto3 adds its own each time
    return session


@cache
def _loader(data_path: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(data_path)
