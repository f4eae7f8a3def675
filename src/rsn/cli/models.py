"""rsn models: what there is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Models:
    """List the networks, and the weights that come with them."""

    def run(self) -> int:
        """Exit status 0."""
        from rsn.networks.catalog import list_models
        from rsn.networks.weights import SHIPPED

        for name in list_models():
            weights = [shipped for shipped in SHIPPED if shipped.split(".")[0] == name]
            print(f"{name:<14}{', '.join(weights) or '-'}")
        return 0
