package api

import (
	"context"
	"time"

	"slipway/deploy"
)

func (h handlers) GetMe(ctx context.Context, _ GetMeRequestObject) (GetMeResponseObject, error) {
	who := callerOf(ctx)
	me := GetMe200JSONResponse{Name: who.Actor.Name, Type: string(who.Actor.Type), Admin: who.Admin}
	if who.Limit != nil {
		me.Limit = limitOf(*who.Limit)
	}
	return me, nil
}

func (h handlers) ListUsers(ctx context.Context, _ ListUsersRequestObject) (ListUsersResponseObject, error) {
	users, err := h.control.Users(ctx, callerOf(ctx))
	return ListUsers200JSONResponse{Items: each(users, userOf)}, err
}

func (h handlers) CreateUser(ctx context.Context, r CreateUserRequestObject) (CreateUserResponseObject, error) {
	who, name, role := callerOf(ctx), deploy.UserName(r.Body.Name), deploy.Role(r.Body.Role)
	if role == "" {
		role = deploy.RoleDeveloper
	}
	if _, err := h.control.AddUser(ctx, who, name, role, []byte(r.Body.Keys)); err != nil {
		return nil, err
	}
	user, err := h.control.User(ctx, who, name)
	return CreateUser201JSONResponse(userOf(user)), err
}

func (h handlers) GetUser(ctx context.Context, r GetUserRequestObject) (GetUserResponseObject, error) {
	user, err := h.control.User(ctx, callerOf(ctx), deploy.UserName(r.User))
	return GetUser200JSONResponse(userOf(user)), err
}

func (h handlers) RemoveUser(ctx context.Context, r RemoveUserRequestObject) (RemoveUserResponseObject, error) {
	return RemoveUser204Response{}, h.control.RemoveUser(ctx, callerOf(ctx), deploy.UserName(r.User))
}

func (h handlers) ListKeys(ctx context.Context, r ListKeysRequestObject) (ListKeysResponseObject, error) {
	keys, err := h.control.Keys(ctx, callerOf(ctx), deploy.UserName(r.User))
	return ListKeys200JSONResponse{Items: each(keys, keyOf)}, err
}

func (h handlers) AddKeys(ctx context.Context, r AddKeysRequestObject) (AddKeysResponseObject, error) {
	keys, err := h.control.AddKeys(ctx, callerOf(ctx), deploy.UserName(r.User), []byte(r.Body.Keys))
	return AddKeys201JSONResponse{Items: each(keys, keyOf)}, err
}

func (h handlers) RemoveKey(ctx context.Context, r RemoveKeyRequestObject) (RemoveKeyResponseObject, error) {
	return RemoveKey204Response{}, h.control.RemoveKey(ctx, callerOf(ctx), deploy.UserName(r.User), r.Params.Fingerprint)
}

func (h handlers) ListGrants(ctx context.Context, r ListGrantsRequestObject) (ListGrantsResponseObject, error) {
	grants, err := h.control.Grants(ctx, callerOf(ctx), deploy.AppName(r.App))
	return ListGrants200JSONResponse{Items: each(grants, func(g deploy.Grant) Grant {
		return Grant{App: string(g.App), User: string(g.User), Role: Role(g.Role)}
	})}, err
}

func (h handlers) SetGrant(ctx context.Context, r SetGrantRequestObject) (SetGrantResponseObject, error) {
	return SetGrant204Response{}, h.grant(ctx, r.App, r.User, deploy.Role(r.Body.Role))
}

func (h handlers) RemoveGrant(ctx context.Context, r RemoveGrantRequestObject) (RemoveGrantResponseObject, error) {
	return RemoveGrant204Response{}, h.grant(ctx, r.App, r.User, "")
}

func (h handlers) grant(ctx context.Context, app, user string, role deploy.Role) error {
	return h.control.Grant(ctx, callerOf(ctx), deploy.Grant{App: deploy.AppName(app), User: deploy.UserName(user), Role: role})
}

func (h handlers) ListTokens(ctx context.Context, _ ListTokensRequestObject) (ListTokensResponseObject, error) {
	tokens, err := h.control.Tokens(ctx, callerOf(ctx))
	return ListTokens200JSONResponse{Items: each(tokens, tokenOf)}, err
}

func (h handlers) CreateToken(ctx context.Context, r CreateTokenRequestObject) (CreateTokenResponseObject, error) {
	t, secret, err := h.control.CreateToken(ctx, callerOf(ctx), deploy.NewToken{
		Name: r.Body.Name, Limit: deploy.Limit{Role: deploy.Role(r.Body.Role), App: deploy.AppName(r.Body.App)},
		Expires: time.Duration(r.Body.ExpiresInDays) * 24 * time.Hour,
	})
	return CreateToken201JSONResponse{Token: tokenOf(t), Secret: secret}, err
}

func (h handlers) RevokeToken(ctx context.Context, r RevokeTokenRequestObject) (RevokeTokenResponseObject, error) {
	_, err := h.control.RevokeToken(ctx, callerOf(ctx), r.Token)
	return RevokeToken204Response{}, err
}
