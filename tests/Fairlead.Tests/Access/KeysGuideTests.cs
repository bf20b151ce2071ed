using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Access;

/// <summary>The guide and the code say the same.</summary>
public sealed class KeysGuideTests
{
    [Fact]
    public void KeysGuide_AllFieldsScopesAndErrorCodes_AreDocumented()
    {
        var guide = File.ReadAllText(Repository.PathOf("docs", "keys.md"));
        Assert.All(KeyFields.New.Known, field => Assert.Contains($"\n| `{field}` |", guide, StringComparison.Ordinal));
        Assert.All(Scopes.All, scope => Assert.Contains($"`{scope}`", guide, StringComparison.Ordinal));
        Assert.All(CallClasses.All, name => Assert.Contains($"`{name}`", guide, StringComparison.Ordinal));
        var refusals = ErrorCatalogue.All.Where(error => error.Group == ErrorGroup.Access && error.Code is not (ErrorCode.ModelNotAllowed or ErrorCode.ClassNotAllowed));
        Assert.All(refusals, error => Assert.Contains($"\n| `{error.Name}` | {error.Status} |", guide, StringComparison.Ordinal));
    }
}
