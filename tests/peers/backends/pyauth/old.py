def unpwd_check(username, password):
    print "this is Python 2"
