"""The hospital door: films arrive from PACS and modalities, and results go back into the patient's study.

Identity is taken out at the door and sealed; everything behind it works with pseudonyms.
"""
