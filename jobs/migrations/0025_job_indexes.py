from django.db import migrations
from django.db.models import F, Index, Q
from django.db.models.functions import Coalesce


class AddIndex(migrations.AddIndex):
    """Build an index while others write, which only PostgreSQL can do."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        else:
            model = to_state.apps.get_model(app_label, self.model_name)
            schema_editor.add_index(model, self.index, concurrently=True)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("jobs", "0024_payer")]

    operations = [
        AddIndex(
            "job",
            Index(
                fields=["team", "original_sha256"],
                condition=Q(original_sha256__isnull=False),
                name="job_same_original",
            ),
        ),
        AddIndex("job", Index(fields=["payer"], condition=Q(payer__isnull=False), name="job_by_payer")),
        AddIndex(
            "job",
            Index(
                F("team"),
                Coalesce("payer", "created_by"),
                F("id"),
                condition=Q(state="kept"),
                name="job_kept_by_payer",
            ),
        ),
    ]
