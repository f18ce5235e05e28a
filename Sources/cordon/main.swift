import CordonCLI
import Foundation

CordonCLI.prepareProcess()
exit(CordonCLI.main(Array(CommandLine.arguments.dropFirst())))
