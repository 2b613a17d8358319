"""Started by the engine as ``python <this folder> <engine address>``; everything else is in the package."""

from tunestack.provider.main import main

main()
