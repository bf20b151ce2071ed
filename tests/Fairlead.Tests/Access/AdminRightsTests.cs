using System.Collections.Frozen;
using Fairlead.Access;
using Fairlead.Access.Tokens;
using Fairlead.Errors;

namespace Fairlead.Tests.Access;

public sealed class AdminRightsTests
{
    /// <summary>A token ends when its identity provider says so; a key that its caller made would not.</summary>
    [Theory]
    [InlineData(AdminRole.Operator, "auditor", false)]
    [InlineData(AdminRole.OrganizationAdmin, "organization_admin", false)]
    [InlineData(AdminRole.Operator, null, true)]
    [InlineData(AdminRole.Owner, "owner", true)]
    public void RequireBounds_CallerWithToken_MakesNoKeyWithARoleUnlessOwner(object own, string? wanted, bool isAllowed)
    {
        var role = (AdminRole)own;
        var caller = new Caller
        {
            OrganizationId = "org_1", OrganizationName = "Acme", ProjectId = "proj_1", ProjectName = "Search",
            KeyId = TokenKeyId.Of("company", "ada"), KeyName = "ada", Scopes = FrozenSet<string>.Empty,
            Admin = new AdminGrant(role, role == AdminRole.OrganizationAdmin ? "org_1" : null),
        };
        var grant = AdminGrant.Of(wanted, wanted == "organization_admin" ? "org_1" : null);
        var error = Record.Exception(() => AdminRights.RequireBounds(caller, grant, null, [], "Creating a key"));
        if (isAllowed) Assert.Null(error);
        else Assert.Equal(ErrorCode.InsufficientScope, Assert.IsType<GatewayErrorException>(error).Error.Code);
    }
}
