"""What each command does, one file a subject. Heavy imports stand inside the commands, so that help is quick."""
