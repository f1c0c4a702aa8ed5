"""Keys of --mode=compare, with their meanings and defaults."""


def compare():
    """Keys of --mode=compare, which needs no config besides."""
    return {
        "runs": (),  # workdirs, folders of samples and report.json files, as runs/a,runs/b
    }
