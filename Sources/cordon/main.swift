import CordonCLI
import Foundation
import LinuxIO

CrashReports.withholdMemory()
exit(CordonCLI.main(Array(CommandLine.arguments.dropFirst())))
