"""Which rows and problems, from the hub or from files, and with which labels and system messages?"""
