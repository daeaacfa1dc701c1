"""WSGI entry point of the engine: ``gunicorn -c engine/gunicorn.py engine.wsgi``. Loads the network."""

from engine.config import Config
from engine.server.app import create_application

application = create_application(Config.from_env())
