"""Whether a service can be asked without asking the user first."""

import os


def has_key() -> bool:
    """Whether W&B finds a key in the environment or in the netrc file, so that it need not ask."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    import netrc

    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//", 1)[-1].split("/", 1)[0].split(":", 1)[0]
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
