"""What pyproject.toml cannot say: the native media engine is compiled with the package."""

from setuptools import setup

setup(cffi_modules=["pbx/native/build.py:ffibuilder"])
