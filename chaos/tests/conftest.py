from chaos.tests.played import play

__all__ = ["play"]
