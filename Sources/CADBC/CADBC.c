#include "CADBC.h"
