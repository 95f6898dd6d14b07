"""What every runtime is: a name, a package, and a way to get its interpreter."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar, NamedTuple

from tfzip.errors import MissingDependencyError
from tfzip.registry import Registry


class InterpreterApi(NamedTuple):
    """The two classes of a runtime that a session needs.

    Attributes:
        Interpreter: Runs a file.
        OpResolverType: Says whether delegates are applied.
    """

    Interpreter: Any
    OpResolverType: Any


@dataclass(frozen=True)
class Runtime(ABC):
    """A package that runs .tflite files.

    Attributes:
        package: Name under which pip knows it.
    """

    package: ClassVar[str]

    @abstractmethod
    def load(self) -> InterpreterApi:
        """Imports the package and returns its classes, or raises `ImportError`."""

    def version(self) -> str | None:
        """Returns the installed version, or None when the package is not installed."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    def interpreter(
        self, path: str, *, threads: int, delegates: bool, keep_tensors: bool, portable: bool = False
    ) -> Any:
        """Opens a file; tensors are not allocated yet.

        Args:
            path: The .tflite file.
            threads: Threads for the kernels.
            delegates: Whether the default delegate (XNNPACK) takes what it can.
            keep_tensors: Whether intermediate values stay readable after a run.
            portable: Whether the plain C++ kernels are used, without delegates. Defaults to False.

        Raises:
            MissingDependencyError: The package is not installed or cannot be imported.
        """
        try:
            api = self.load()
        except ImportError as error:
            raise MissingDependencyError(
                f"Running a file needs {self.package}, which cannot be imported ({error})."
                f" Install it with `pip install {self.package}`."
            ) from error
        types = api.OpResolverType
        plain = types.BUILTIN_REF if portable else types.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return api.Interpreter(
            model_path=path,
            num_threads=threads,
            experimental_op_resolver_type=types.AUTO if delegates and not portable else plain,
            experimental_preserve_all_tensors=keep_tensors,
        )


runtimes: Registry[Runtime] = Registry("Runtime")
