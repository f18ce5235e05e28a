import CordonCLI
import Foundation

exit(CordonCLI.main(Array(CommandLine.arguments.dropFirst())))
