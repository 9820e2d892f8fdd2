"""What deep agents share; its modules need the extra ``deep`` and are imported where one plays."""
