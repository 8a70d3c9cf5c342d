"""The conventions of scikit-learn's estimators, without scikit-learn."""

import inspect
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from atomcore.kernels import RBF
from atomcore.models._kernel_inputs import as_dataset


class Estimator:
    """Arguments by name: what `clone`, `GridSearchCV` and the like of scikit-learn call."""

    kernel: Any
    predict: Callable[..., Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of this model; with ``deep`` those of its kernel as ``kernel__length`` and so on."""
        names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        parameters = {name: getattr(self, name) for name in names}
        if deep and hasattr(self.kernel, "get_params"):
            parameters |= {f"kernel__{name}": value for name, value in self.kernel.get_params().items()}
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Change arguments, those of the kernel by ``kernel__length`` and so on; nothing is trained anew.

        Raises
        ------
        ValueError
            For a name that there is not.
        """
        own = self.get_params(deep=False)
        nested = {name: value for name, value in parameters.items() if name.startswith("kernel__")}
        for name, value in parameters.items():
            if name in own:
                setattr(self, name, value)
            elif name not in nested:
                raise ValueError(f"{type(self).__name__} has no argument {name!r}; accepted: {', '.join(own)}")
        if nested:
            base = RBF() if self.kernel is None else self.kernel
            changed = {name.removeprefix("kernel__"): value for name, value in nested.items()}
            self.kernel = type(base)(**base.get_params()).set_params(**changed)  # which others may hold
        return self

    def score(self, X: Any, y: Any = None) -> float:
        """Return the coefficient of determination R^2 of values, averaged over outputs: scikit-learn's default."""
        if y is None:
            y = as_dataset(X, labels=True).energy
        values = np.asarray(self.predict(X)).reshape(len(y), -1)
        labels = np.asarray(y, float).reshape(len(y), -1)
        spread = np.sum((labels - labels.mean(axis=0)) ** 2, axis=0)
        if not (spread > 0).all():
            raise ValueError("y has an output with one value only, for which R^2 is not defined")
        return float(np.mean(1.0 - np.sum((values - labels) ** 2, axis=0) / spread))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's model selection, which comes with ``atomcore[descriptors]``, asks an estimator."""
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        target = TargetTags(required=False, multi_output=True)
        return Tags(
            estimator_type="regressor", target_tags=target, regressor_tags=RegressorTags(), input_tags=InputTags()
        )

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        given = {name: value for name, value in self.get_params(deep=False).items() if value != defaults[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"
