"""Runs the command line of NeMo Helix with stand-ins for what needs a GPU or a container.

Two further backends are put into the registries of the package; nothing of it is edited. The arguments are those of
`nemo services run`.
"""

import sys

import stand_in_models
import stand_in_trainer

if __name__ == "__main__":
    port = sys.argv[sys.argv.index("--port") + 1]
    stand_in_trainer.run_images_as_processes()
    # The configuration knows this kind of executor by the name of the package's own test backend.
    stand_in_trainer.install("e2e")
    stand_in_models.install(f"http://127.0.0.1:{port}", "stub")
    sys.argv[0] = "nemo"
    from nemo_helix_ext.cli.app import cli

    cli()
